"""The founding document's snippets, run as they are by curl, by Python requests and by Node."""

import asyncio
import importlib.util
import json
import shutil
import sys

import pytest

from tests.emulator.harness import serving
from tests.emulator.test_legacy import FIRST_EXAMPLE, OTHER_EXAMPLES, SESSION_ID

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
needs_requests = pytest.mark.skipif(
    importlib.util.find_spec("requests") is None, reason="the Python package requests is not installed"
)

# The document's own snippets leave the token out, which gets them the 401 that it describes.
REQUESTS = """
import sys, requests

url, payload, token = sys.argv[1:]
headers = {'Accept': 'application/json'} | ({'Authorization': token} if token else {})
response = requests.request("POST", url, headers=headers, data=payload)
print(response.text)
print(response.status_code)
"""
FETCH = """
const [url, raw, token] = process.argv.slice(1);
var myHeaders = new Headers();
myHeaders.append("Accept", "application/json");
if (token) myHeaders.append("Authorization", token);

var requestOptions = { method: 'POST', headers: myHeaders, body: raw, redirect: 'follow' };

fetch(url, requestOptions)
  .then(async response => `${await response.text()}\\n${response.status}`)
  .then(result => console.log(result))
  .catch(error => console.log('error', error));
"""


def curl(url: str, payload: str, token: str) -> list[str]:
    return [
        *("curl", "--silent", "--location", "--request", "POST", url),
        *("--header", "Accept: application/json", "--header", f"Authorization: {token}"),
        *("--data-raw", payload, "--write-out", "\n%{http_code}"),
    ]


def requests(url: str, payload: str, token: str) -> list[str]:
    return [sys.executable, "-c", REQUESTS, url, payload, token]


def fetch(url: str, payload: str, token: str) -> list[str]:
    return ["node", "-e", FETCH, url, payload, token]


every_client = pytest.mark.parametrize(
    "client",
    [
        pytest.param(curl, marks=needs_curl),
        pytest.param(requests, marks=needs_requests),
        pytest.param(fetch, marks=needs_node),
    ],
)


async def answer(command: list[str]) -> tuple[int, dict]:
    """The status and the JSON body that a client prints."""
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    body, _, status = output.decode().strip().rpartition("\n")
    return int(status), json.loads(body)


@every_client
@pytest.mark.parametrize("payload", [FIRST_EXAMPLE, OTHER_EXAMPLES], ids=["first", "others"])
async def test_a_launch_gets_the_documented_answer(client, payload):
    async with serving(profile="legacy") as (emulator, _):
        token = f"Bearer {emulator.token}"
        status, body = await answer(client(f"{emulator.url}/session", json.dumps(payload), token))
        session = emulator.world.session(SESSION_ID)
        assert status == 200
        assert body["host"] == session.host
        assert body["ports"] == [
            {"type": protocol, "container": container, "host": host}
            for protocol, container, host in session.ports
        ]


@every_client
@pytest.mark.parametrize(
    ("change", "token", "expected"),
    [
        ({}, "", 401),
        ({"location": "atlantis"}, "Bearer emulator-token", 404),
        ({"location": "taken"}, "Bearer emulator-token", 409),
        ({"id": "another"}, "Bearer emulator-token", 420),
        ({"restart": "no"}, "Bearer emulator-token", 422),
    ],
)
async def test_a_refusal_gets_the_documented_status(client, change, token, expected):
    async with serving(profile="legacy", locations={"europe": 0, "taken": 9}) as (emulator, _):
        emulator.world.add_foreign_session(SESSION_ID, image="nginx", location="taken")
        payload = json.dumps(OTHER_EXAMPLES | change)
        status, body = await answer(client(f"{emulator.url}/session", payload, token))
        assert (status, body["statusCode"]) == (expected, expected)
