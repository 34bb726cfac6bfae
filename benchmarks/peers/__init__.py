"""A Django project with one model, for the peers that emit on a model's signals. It runs in their environments."""
