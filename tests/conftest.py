"""Order of the tests: what takes minutes begins first, so that no worker is left with it alone."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with a whole compilation or synthesis run come first, each file's tests together."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
