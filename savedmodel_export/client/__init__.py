"""The client of a served model: files in, answers out."""
