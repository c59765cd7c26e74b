"""The three database roles: the owner migrates, the application writes rows, reports only read.

`passwords` holds the passwords of the embedded server. `preparing` creates the roles and the database, as a
superuser. `rights` grants the application and the reports their rights for each table, as the owner.
`checking` checks for rights that a role should not have. docs/decisions/0029 explains what the roles protect
against and what they do not.
"""

SUPERUSER = DATABASE = "mekiki"  # the role that initdb creates, used only by the supervisor
OWNER, APPLICATION, REPORT = "mekiki_owner", "mekiki_app", "mekiki_report"
