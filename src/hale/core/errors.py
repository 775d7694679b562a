"""The one exception that a user is meant to meet."""


class Refused(Exception):
    """Input or usage that `hale` declines: what was given, what is wrong with it, what to do.

    The command line prints it in one line and exits with status 2. Anything else that escapes is a
    defect of ours.
    """

    def __init__(self, what: str, why: str, remedy: str) -> None:
        super().__init__(what, why, remedy)
        self.what, self.why, self.remedy = what, why, remedy

    def __str__(self) -> str:
        return f"{self.what}: {self.why}; {self.remedy}"


class RefusedElsewhere(Refused):
    """What another process that shares the work was refused: that one says it, this one ends."""
