"""stub"""


def read_drivers(path, calendar):
    raise NotImplementedError
