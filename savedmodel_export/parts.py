"""What an export is made of, checked before any work."""

from keras_concatplexer.bundle import check_class_names
from keras_concatplexer.preprocessing import ImagePreprocessor
from savedmodel_export.model_card import num_classes_of


def check_parts(model, preprocessor, class_names, export_dir):
    """Checks that the parts of an export fit.

    Args:
        model: Keras classifier or model of features.
        preprocessor: `ImagePreprocessor` of the model's images.
        class_names: sequence of str; `None` for a model of features.
        export_dir: path of a folder.

    Returns:
        The names as a tuple; `None` for a model of features.

    Raises:
        ValueError: if they do not fit.
    """
    if not export_dir:
        raise ValueError(
            f"`export_dir` must name a folder. Received: export_dir={export_dir!r}"
        )
    if not isinstance(preprocessor, ImagePreprocessor):
        raise ValueError(
            "`preprocessor` must be a `keras_concatplexer.preprocessing."
            f"ImagePreprocessor`. Received: preprocessor={preprocessor!r}"
        )
    if model.input_shape[1:] != preprocessor.image_shape:
        raise ValueError(
            f"The model takes images of {model.input_shape[1:]}, the preprocessor "
            f"makes images of {preprocessor.image_shape}. Make one with "
            f"image_shape={model.input_shape[1:]}."
        )
    if class_names is not None and not isinstance(class_names, str):
        # Arrays and other iterables too.
        class_names = tuple(class_names)
    check_class_names(class_names, num_classes_of(model))
    return class_names or None
