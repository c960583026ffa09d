import pytest

from train.config import Config
from train.data.input_speed import input_images_per_second


def test_images_per_second_of_the_data_alone(digits_dir):
    config = Config(data_dir=str(digits_dir), augmentation="shift")
    assert input_images_per_second(config, min_seconds=0.2) > 100


def test_errors(digits_dir):
    with pytest.raises(ValueError, match="no split"):
        config = Config(data_dir=str(digits_dir), train_split="none")
        input_images_per_second(config)
