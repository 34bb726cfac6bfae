"""The REST API. `urls` is what a project includes."""

# How the actions' audit names this way in.
VIA = "API"
