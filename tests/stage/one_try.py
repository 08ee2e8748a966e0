"""Questions to `voltagora try`, and the command that is asked them."""

import json

from typer.testing import CliRunner

from voltagora.cli.main import app

PREFERENCES = {
    "arrival": "2020-01-01T08:30:00Z",
    "departure": "2020-01-01T12:00:00Z",
    "energy_kwh": 10,
    "connector_type": "3 phase-16A per phase",
    "power_kw": 11,
    "v2g_allowed": True,
    "min_soc": 0.1,
}
BATTERY = {
    "capacity_kwh": 40,
    "soc": 0.5,
    "min_soc": 0.1,
    "max_soc": 1,
    "max_charge_kw": 11,
    "max_discharge_kw": 11,
}


def ran(*words, question=None):
    """Run the command; a question goes in by standard input."""
    text = question if isinstance(question, str) else json.dumps(question)
    return CliRunner().invoke(app, list(words), input=text)


def tried(kind, name, question, *words):
    result = ran("try", kind, name, "--input", "-", *words, question=question)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def refused(kind, name, question, *words):
    """Give what stands on standard error of a question that is bad input."""
    result = ran("try", kind, name, "--input", "-", *words, question=question)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    return result.stderr


def series(values, start="2020-01-01T00:00:00Z", step_minutes=60):
    return {"start": start, "step_minutes": step_minutes, "values": values}
