"""Tests what every method promises, for the test file of a package.

    from sslcli.testing import method_tests
    from my_package import MyConfig

    test_my_method = method_tests(MyConfig())

Importing this imports neither torch nor pytest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sslcli.lazy import exports

if TYPE_CHECKING:
    from sslcli.testing.suite import check_method as check_method
    from sslcli.testing.suite import method_tests as method_tests

HOME = {"check_method": "suite", "method_tests": "suite"}

__getattr__ = exports(__name__, HOME)
