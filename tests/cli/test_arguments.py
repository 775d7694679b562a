"""`--resume` with and without a step."""

import pytest

from hale.cli.arguments import with_optional_values


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["fit", "r", "--resume"], ["fit", "r", "--resume=latest"]),
        (["fit", "--resume", "--budget", "3"], ["fit", "--resume=latest", "--budget", "3"]),
        (["fit", "r", "--resume", "120"], ["fit", "r", "--resume", "120"]),
        (["fit", "r", "--resume=120"], ["fit", "r", "--resume=120"]),
        (["detect", "x"], ["detect", "x"]),
    ],
)
def test_a_lone_resume_means_the_newest_checkpoint(typed, meant):
    assert with_optional_values(typed) == meant
