# SPDX-License-Identifier: BSD-2-Clause
"""Inside the initiator's host: one I_T nexus per portal. On every line of standard input, a line of JSON: by portal the unit
attentions that were pending, the capacity in blocks, and the sense of TEST UNIT READY behind them."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
from initiator import Initiator  # noqa: E402


class Portal:
    def __init__(self, target, portal):
        self.target, self.portal = target, portal


def look(nexus):
    attentions = nexus.attentions()
    return {"attentions": attentions, "blocks": nexus.capacity(),
            "ready": nexus.run([0x00] + [0] * 5).sense}


target, *portals = sys.argv[1:]
nexuses = {p: Initiator(Portal(target, p), name="iqn.2026-11.io.sandem.test:watch") for p in portals}
for _ in sys.stdin:
    print(json.dumps({p: look(n) for p, n in nexuses.items()}), flush=True)
