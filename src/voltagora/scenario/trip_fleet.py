"""stub"""


def trip_fleet(scenario, area, horizon):
    raise NotImplementedError
