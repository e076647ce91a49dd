"""Measurements of openwhisk-dl against what a user has without it; no part of the product, which never imports them."""
