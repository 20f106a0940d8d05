# SPDX-License-Identifier: BSD-2-Clause
"""Inside the initiator's host: one command through one portal. TARGET PORTAL CDB [DATA-OUT] [READ-LENGTH], in hex but for
the length; prints as JSON: status, sense (key, asc, ascq), sense key specific bytes, data, unit attentions after it."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
from initiator import Initiator  # noqa: E402


class Portal:
    def __init__(self, target, portal):
        self.target, self.portal = target, portal


target, portal, cdb, data, read = (sys.argv[1:] + ["", "0"])[:5]
with Initiator(Portal(target, portal), name="iqn.2026-11.io.sandem.test:cdb") as i:
    i.attentions()
    a = i.run(bytes.fromhex(cdb), bytes.fromhex(data), int(read))
    print(json.dumps({"status": a.status, "sense": a.sense, "specific": a.sense_data[15:18].hex(), "data": a.data.hex(),
                      "after": i.attentions()}))
