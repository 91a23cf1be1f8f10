"""The local site: real HTML over real HTTP, made from the articles that ship with the demo. Run it with ``python -m``."""
