#!/bin/sh
# One decision at a time: a question in JSON, an answer in JSON, no scenario and no simulation.
#
#     sh examples/one_decision.sh
set -eu

echo "What does a kWh cost in a slot with surplus, in balance, with a deficit?"
voltagora try pricing nrgcoin --input - <<'JSON'
{"supply": [150, 100, 50], "demand": [100, 100, 100]}
JSON

echo "How should this car charge 6 kWh in five hours, and what may it sell on the way?"
voltagora try scheduling v2g --param wear_eur_per_kwh=0.02 --input - <<'JSON'
{
  "preferences": {"arrival": "2024-05-14T16:00:00Z", "departure": "2024-05-14T21:00:00Z", "energy_kwh": 6,
                  "connector_type": "Single phase 32A", "power_kw": 7.4, "v2g_allowed": true, "min_soc": 0.2},
  "battery": {"capacity_kwh": 40, "soc": 0.5, "min_soc": 0.1, "max_soc": 1.0,
              "max_charge_kw": 7.4, "max_discharge_kw": 7.4},
  "connector": {"power_kw": 7.4, "v2g_capable": true},
  "buy": [0.40, 0.45, 0.30, 0.20, 0.15],
  "sell": [0.35, 0.40, 0.25, 0.15, 0.10]
}
JSON

echo "And if it must have 60 kWh by then? A refusal is an answer, too."
voltagora try scheduling v2g --input - <<'JSON'
{
  "preferences": {"arrival": "2024-05-14T16:00:00Z", "departure": "2024-05-14T21:00:00Z", "energy_kwh": 60,
                  "connector_type": "Single phase 32A", "power_kw": 7.4, "v2g_allowed": true, "min_soc": 0.2},
  "battery": {"capacity_kwh": 80, "soc": 0.1, "min_soc": 0.1, "max_soc": 1.0,
              "max_charge_kw": 7.4, "max_discharge_kw": 7.4},
  "connector": {"power_kw": 7.4, "v2g_capable": true},
  "buy": [0.40, 0.45, 0.30, 0.20, 0.15],
  "sell": [0.35, 0.40, 0.25, 0.15, 0.10]
}
JSON
