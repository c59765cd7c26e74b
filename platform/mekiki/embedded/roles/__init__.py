"""The three database roles: the owner migrates, the application reads and writes rows, reports only read.

`passwords`: those of the embedded server. `preparing`: the roles and the database itself, as a superuser. `rights`:
what the application and reports may do with each table, as the owner. `checking`: what a role may do that it should
not. docs/decisions/0029 says what this protects from and what not.
"""

SUPERUSER = DATABASE = "mekiki"  # initdb's own role; only the supervisor uses it
OWNER, APPLICATION, REPORT = "mekiki_owner", "mekiki_app", "mekiki_report"
