"""Path patterns of faults, and what to write in place of a regular expression."""

from __future__ import annotations

import pytest

from airflow_provider_cloudsync.emulator.paths import read_pattern
from airflow_provider_cloudsync.emulator.reading import BadInput


def known(path):
    """Every path is that of an operation."""
    return True


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        ("/v3/projects", "/v3/projects", True),
        ("/v3/projects", "/v3/projects/1", False),
        ("/v3/projects", "/x/v3/projects", False),
        ("*", "", True),
        ("*", "/any/thing", True),
        ("/v2/*", "/v2/", True),
        ("/v2/*", "/v2", False),
        ("*/iam-sync", "/v2/p/clusters/c/iam-sync", True),
        ("*/iam-sync", "/v2/p/clusters/c/iam-sync-user", False),
        ("/v2/*/clusters/*/iam-sync", "/v2/p/clusters/c/iam-sync", True),
        ("/v2/*/clusters/*/iam-sync", "/v2/p/iam-sync", False),
        ("/a*a", "/a", False),
        ("/a*a", "/aa", True),
        ("/a**a", "/axa", True),
        ("/*ab*ab", "/ab", False),
        ("/*ab*ab", "/abab", True),
        ("/*b*c*", "/abc", True),
        ("/*c*b*", "/abc", False),
        ("/v1.1/*", "/v1.1/p", True),
        ("/v1.1/*", "/v111/p", False),
        ("/a%20b", "/a%20b", True),
        ("/A", "/a", False),
    ],
)
def test_matches(text, path, expected):
    assert read_pattern(text, "path", known).matches(path) is expected


def test_no_pattern_takes_long():
    """With a regular expression of the same meaning this would not end while the sun shines."""
    pattern = read_pattern("/" + "a*" * 400 + "b", "path", known)
    assert not pattern.matches("/" + "a" * 30_000)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("(a+)+$", "regular expression such as"),
        ("(", "regular expression such as"),
        ("^/v3/", "write '/v3/*'"),
        ("iam-sync$", "write '*iam-sync'"),
        ("iam-sync", "write '*iam-sync*'"),
        ("^/v2/[^/]+/clusters$", "write '/v2/*/clusters'"),
        ("^/v1\\.1/.*/x$", "write '/v1.1/*/x'"),
        ("/v1/.*", "write '*/v1/*'"),
        ("/clusters/\\d+$", "write '*/clusters/*'"),
        ("/clusters/[a-z]+/x", "write '*/clusters/*/x*'"),
        ("/a|/b", "regular expression such as"),
        ("/v3/{project_id}/x", "regular expression such as"),
        ("/x?", "regular expression such as"),
        ("/a[bc]", "regular expression such as"),
        ("/a b", "regular expression such as"),
        ("/a\n", "regular expression such as"),
        ("/\u0661", "regular expression such as"),
        ("^$", "regular expression such as"),
        (".*", "regular expression such as"),
        ("", "must be a whole path"),
        ("/" + "a" * 1000, "1000 characters at most"),
    ],
)
def test_complaints(text, advice):
    with pytest.raises(BadInput) as refused:
        read_pattern(text, "faults[0].match.path", known)
    assert str(refused.value).startswith("faults[0].match.path must ")
    assert advice in str(refused.value)
    assert ("; write" in str(refused.value)) is advice.startswith("write")
