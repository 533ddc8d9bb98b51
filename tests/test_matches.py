"""The thousand launch requests of `examples/matches.jsonl`, in the API's own JSON."""

import json
from pathlib import Path
from uuid import UUID

import jsonschema
import pytest
import yaml

CHECKOUT = Path(__file__).parents[1]
MATCHES = [json.loads(line) for line in (CHECKOUT / "examples/matches.jsonl").read_text("utf-8").splitlines()]
DESCRIPTION = CHECKOUT.parent / "shared/api/gameye-session-openapi.yml"


def test_there_are_a_thousand_matches_with_ids_of_their_own():
    assert len(MATCHES) == 1_000
    assert len({UUID(match["id"]) for match in MATCHES}) == 1_000


def test_the_first_is_the_example_of_the_launch_page():
    assert MATCHES[0] == {
        "id": "f7965a22-e327-4541-a30e-8262890d3a29",
        "location": "europe",
        "image": "my-very-special-game",
        "version": "buildversion",
        "env": {"my-secret": "my-secret-value"},
        "args": ["--max-players=8"],
        "labels": {"my-example-tag": "1", "another-example-tag": "3"},
        "restart": False,
    }


@pytest.mark.parametrize("field", ["id", "location", "image", "env", "args", "restart"])
def test_every_match_has_the_fields_that_the_launch_page_requires(field):
    assert all(field in match for match in MATCHES)


def test_every_id_is_a_random_uuid_in_its_usual_spelling():
    assert all(UUID(match["id"]).version == 4 and str(UUID(match["id"])) == match["id"] for match in MATCHES)


@pytest.mark.skipif(not DESCRIPTION.exists(), reason="the OpenAPI description is not beside the checkout")
def test_every_match_is_valid_against_the_api_description():
    description = yaml.safe_load(DESCRIPTION.read_text("utf-8"))
    # OpenAPI 3.0 schemas follow a draft between 4 and 6; SessionRun uses nothing that tells them apart.
    validator = jsonschema.Draft4Validator(description["components"]["schemas"]["SessionRun"])
    faults = [
        (number, fault.message)
        for number, match in enumerate(MATCHES, 1)
        for fault in validator.iter_errors(match)
    ]
    assert faults == []
