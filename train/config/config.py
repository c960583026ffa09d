"""Everything that decides what a run computes."""

import dataclasses
import json
import pathlib

from ..workdir import damaged, read_json, write_text
from .settings import TOPICS

CONFIG_FILE = "config.json"


@dataclasses.dataclass(frozen=True)
class Config(*reversed(TOPICS)):
    """The settings of a run, saved beside its results.

    The fields are those of `settings.TOPICS`, in their order.
    """

    def check(self, given=()):
        """Checks each setting by itself, and what two of them have wrong together.

        Args:
            given: names of the settings that the user gave. Without them, those that
                differ from their defaults.

        Raises:
            ValueError: naming the setting, its value and what is expected.
        """
        self._check_used(given)
        for name in ("label_smoothing", "ema", "randaugment", "random_erasing"):
            value, below = getattr(self, name), name in ("label_smoothing", "ema")
            if value > 1 or (below and value == 1):
                limit = "below 1" if below else "at most 1"
                raise ValueError(f"--{name} must be {limit}. Received: {value}")
        if not 0 < self.teacher_weight <= 1:
            raise ValueError(
                "--teacher_weight must be above 0 and at most 1. Received: "
                f"{self.teacher_weight}"
            )
        for name in ("teacher_temperature", "in_place_temperature"):
            if getattr(self, name) <= 0:
                raise ValueError(
                    f"--{name} must be above 0. Received: {getattr(self, name)}"
                )
        if self.objective == "features" and not (self.init_from or self.teacher):
            raise ValueError(
                "--objective=features needs --init_from or --teacher: the encoder "
                "whose features are learnt."
            )
        self._check_num_mux()
        if self.profile:
            self.profile_steps()

    def _check_used(self, given):
        for field in dataclasses.fields(self):
            value, needs = getattr(self, field.name), field.metadata["needs"]
            is_given = field.name in given or value != field.default
            if is_given and needs and not needs.holds(self):
                raise ValueError(
                    f"--{field.name}={_as_flag(value)} would not be used: it needs "
                    f"{needs.text}."
                )

    def _check_num_mux(self):
        if not isinstance(self.num_mux, tuple):
            return
        if self.model != "concatplexer":
            raise ValueError(
                "Several --num_mux go with --model=concatplexer. Received: "
                f"--model={self.model}, --num_mux={_as_flag(self.num_mux)}"
            )
        if not self.num_mux or len(set(self.num_mux)) < len(self.num_mux):
            raise ValueError(
                "--num_mux must be one number, or different ones such as 1,2,4. "
                f"Received: {_as_flag(self.num_mux)}"
            )
        weights = self.num_mux_weights
        if weights and (len(weights) != len(self.num_mux) or min(weights) <= 0):
            raise ValueError(
                f"--num_mux_weights must be {len(self.num_mux)} numbers above 0, one "
                f"for each --num_mux. Received: {_as_flag(weights)}"
            )
        if self.in_place_weight and 1 not in self.num_mux:
            raise ValueError(
                "--in_place_weight needs 1 among --num_mux: it teaches the others. "
                f"Received: --num_mux={_as_flag(self.num_mux)}"
            )

    def profile_steps(self):
        """Returns `profile` as `(start, stop)`, or 0 where it is empty."""
        if not self.profile:
            return 0
        try:
            start, stop = map(int, self.profile.split(","))
        except ValueError:
            start = stop = 0
        if not 0 < start <= stop:
            raise ValueError(
                "--profile must be START,STOP, two steps counted from 1, such as "
                f"10,20. Received: {self.profile}"
            )
        return start, stop

    def save(self, folder):
        """Writes `config.json` into `folder`."""
        text = json.dumps(dataclasses.asdict(self), indent=2) + "\n"
        write_text(pathlib.Path(folder) / CONFIG_FILE, text)

    @classmethod
    def saved_in(cls, folder):
        """Returns the `Config` of the run in `folder`, or `None` without one.

        Settings that are newer than the run have their defaults.

        Raises:
            ValueError: if the file cannot be read.
        """
        path = pathlib.Path(folder) / CONFIG_FILE
        saved = read_json(path)
        if saved is None:
            return None
        try:
            fields = {field.name: field for field in dataclasses.fields(cls)}
            values = {
                name: tuple(value) if isinstance(value, list) else value
                for name, value in saved.items()
                if name in fields
            }
            for name, value in values.items():
                kind = fields[name].type
                if not isinstance(value, int | float if kind is float else kind):
                    raise ValueError(f"{name} is {value!r}")
        except (ValueError, AttributeError) as error:
            raise damaged(path, error) from error
        return cls(**values)

    def changes(self, saved):
        """Returns list of `(name, old, new)`: what differs from a `Config`."""
        return [
            (field.name, getattr(saved, field.name), getattr(self, field.name))
            for field in dataclasses.fields(self)
            if getattr(saved, field.name) != getattr(self, field.name)
        ]

    def check_same_run(self, folder):
        """Checks that a run in `folder`, if there is one, may have these settings.

        Returns:
            list of `(name, old, new)`, what a run may change and this one does.

        Raises:
            ValueError: naming every setting that differs and must not.
        """
        saved = self.saved_in(folder)
        if saved is None:
            return []
        fields = {field.name: field for field in dataclasses.fields(self)}
        changes = self.changes(saved)
        forbidden = [
            f"{name} was {old!r}, is {new!r}"
            for name, old, new in changes
            if not fields[name].metadata["may_change"]
        ]
        if forbidden:
            raise ValueError(
                f"The workdir {folder} holds a run with other settings: "
                f"{'; '.join(forbidden)}. Give the old values to go on, or choose "
                "another --workdir."
            )
        return changes


def _as_flag(value):
    return ",".join(map(str, value)) if isinstance(value, tuple) else value
