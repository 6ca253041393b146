"""Print what a Python client gets as the result of a flow run, as JSON."""

import json
import sys

from prefect.client.orchestration import get_client

with get_client(sync_client=True) as client:
    print(json.dumps(client.read_flow_run(sys.argv[1]).state.result()))
