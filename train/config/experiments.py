"""Settings that have a name: `python -m train --experiment=NAME --workdir=...`.

Other flags change single settings. Each docstring tells what to expect.
"""

from .config import Config


def digits_vit():
    """A plain ViT on the embedded digits.

    Command: `python -m train --experiment=digits_vit --workdir=runs/digits_vit`
    Result: not recorded here; `make demo` trains with the same settings.
    """
    return Config(model="vit", augmentation="shift")


def digits_n2():
    """ConcatPlexer N = 2 on the embedded digits, from `runs/digits_vit`.

    Command: `python -m train --experiment=digits_n2 --workdir=runs/digits_n2`
    Result: not recorded here; `make demo` trains with the same settings.
    """
    return Config(
        init_from="runs/digits_vit",
        augmentation="shift",
        epochs=12,
        learning_rate=3e-4,
    )


def cifar10_nano():
    """A plain ViT of 1.2 million weights on CIFAR-10.

    Command: `python -m train --experiment=cifar10_nano --workdir=runs/cifar10_nano`
    Result: not run here in full; a short run is in docs/benchmarks.md.
    """
    return Config(
        dataset="cifar10",
        model="vit",
        augmentation="flip_crop",
        epochs=30,
        batch_size=128,
    )


def cifar10_nano_n2():
    """ConcatPlexer N = 2 on CIFAR-10, from `runs/cifar10_nano`.

    Command:
    `python -m train --experiment=cifar10_nano_n2 --workdir=runs/cifar10_nano_n2`
    Result: not run here in full; a short run is in docs/benchmarks.md.
    """
    return Config(
        dataset="cifar10",
        init_from="runs/cifar10_nano",
        augmentation="flip_crop",
        epochs=10,
        batch_size=128,
        learning_rate=3e-4,
        warmup_epochs=1.0,
    )


def cifar100_b16_n2():
    """ConcatPlexer-B/16 N = 2 on CIFAR-100 at 224 pixels, from ImageNet-21k.

    Command:
    `python -m train --experiment=cifar100_b16_n2 --workdir=runs/cifar100_b16_n2`
    Result: not run here. Meant for one GPU of 40 GB or more.
    """
    return Config(
        dataset="cifar100",
        init_from="hub:vit_base_patch16_224_imagenet21k",
        image_size=224,
        augmentation="flip_crop",
        mixup=0.2,
        epochs=20,
        batch_size=256,
        learning_rate=1e-4,
        clip_norm=1.0,
        dtype_policy="mixed_bfloat16",
    )


def imagenet_b16():
    """ViT-B/16 on ImageNet from random weights, in the manner of DeiT.

    Command: `python -m train --experiment=imagenet_b16 --workdir=runs/imagenet_b16`
    Result: not run here. Meant for eight GPUs.
    """
    return Config(
        dataset="imagenet2012",
        train_split="train[:99%]",
        validation_split="train[99%:]",
        test_split="validation",
        model="vit",
        size="vit_b16",
        image_size=224,
        augmentation="flip_crop",
        randaugment=0.5,
        random_erasing=0.25,
        mixup=0.8,
        cutmix=1.0,
        label_smoothing=0.1,
        epochs=300,
        batch_size=1024,
        warmup_epochs=5.0,
        clip_norm=1.0,
        ema=0.9999,
        dtype_policy="mixed_bfloat16",
    )


def imagenet_b16_n2():
    """ConcatPlexer-B/16 N = 2 on ImageNet, from `runs/imagenet_b16`.

    Command:
    `python -m train --experiment=imagenet_b16_n2 --workdir=runs/imagenet_b16_n2`
    Result: not run here. Meant for eight GPUs.
    """
    return Config(
        dataset="imagenet2012",
        train_split="train[:99%]",
        validation_split="train[99%:]",
        test_split="validation",
        init_from="runs/imagenet_b16",
        image_size=224,
        augmentation="flip_crop",
        randaugment=0.5,
        mixup=0.2,
        cutmix=1.0,
        label_smoothing=0.1,
        epochs=30,
        batch_size=1024,
        learning_rate=1e-4,
        warmup_epochs=1.0,
        clip_norm=1.0,
        ema=0.999,
        dtype_policy="mixed_bfloat16",
    )


EXPERIMENTS = {
    function.__name__: function
    for function in (
        digits_vit,
        digits_n2,
        cifar10_nano,
        cifar10_nano_n2,
        cifar100_b16_n2,
        imagenet_b16,
        imagenet_b16_n2,
    )
}
