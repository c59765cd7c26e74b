"""The former address of the offline verifier: `python -m mekiki.exports.verify` still runs it.

Notes of auditors name this command. The verifier itself is `verification.label_set`.
"""

import sys

from verification.label_set.verify import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
