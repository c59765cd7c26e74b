"""The former address of the check of an audit file: `python -m mekiki.audit.audit_file` still runs it.

Notes of auditors name this command. The check itself is `verification.audit_file`.
"""

import sys

from verification.audit_file import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
