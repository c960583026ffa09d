"""What a server needs beside the models."""
