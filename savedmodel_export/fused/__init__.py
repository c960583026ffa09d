"""The inference graph in the form that CPU kernels like."""
