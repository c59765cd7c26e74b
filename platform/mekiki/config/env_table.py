"""The table of environment variables: name, default and meaning. config/env.py reads the variables."""

from dataclasses import dataclass

from mekiki.config import env_checks as checks

# memory:// is only for tests.
BROKER_SCHEMES = ("redis", "rediss", "redis+socket", "sentinel", "memory")


@dataclass(frozen=True)
class Variable:
    """One environment variable. `default` is used if the variable is not set."""

    name: str
    default: str
    meaning: str
    check: checks.Check = checks.plain

    @property
    def is_secret(self) -> bool:
        """Return whether the value may hold a password or key.

        Messages do not repeat such a value. The origin of a site has no place for a password.
        """
        ends_like_one = self.name.endswith(("_KEY", "_PASSWORD", "_PASSPHRASE", "_URL"))
        return ends_like_one and self.check is not checks.origin


VARIABLES: dict[str, Variable] = {
    v.name: v
    for v in (
        Variable(
            "MEKIKI_HOME",
            "./var",
            "Folder of a one-machine installation: database, files, keys, logs.",
            checks.path,
        ),
        Variable("MEKIKI_HOST", "127.0.0.1", "Address the web server listens on.", checks.host),
        Variable("MEKIKI_PORT", "8000", "Port the web server listens on.", checks.whole_number(0, 65535)),
        Variable(
            "MEKIKI_ALLOWED_HOSTS",
            "127.0.0.1,localhost,[::1]",
            "Host names of the site.",
            checks.comma_separated(checks.host, "host names"),
        ),
        Variable(
            "MEKIKI_TRUSTED_ORIGINS",
            "",
            "Origins (https://…) that are trusted for forms behind a proxy.",
            checks.comma_separated(checks.origin, "origins such as https://mekiki.example.com"),
        ),
        Variable(
            "MEKIKI_HTTPS",
            "0",
            (
                "1 behind a TLS proxy: secure cookies and HSTS; X-Forwarded-Proto and X-Forwarded-For of "
                "trusted proxies are accepted."
            ),
            checks.flag,
        ),
        Variable(
            "MEKIKI_TRUSTED_PROXIES",
            "",
            (
                "Addresses or networks of the proxies before the site, e.g. 10.0.0.5,172.30.0.0/24. If "
                "empty: this machine, with MEKIKI_HTTPS=1."
            ),
            checks.comma_separated(checks.network, "IP addresses or networks such as 10.0.0.0/24"),
        ),
        Variable(
            "MEKIKI_SECURITY_CONTACT",
            "",
            (
                "Contact for security problems: mailto:… or https://…, shown in "
                "/.well-known/security.txt. If empty: no such file."
            ),
            checks.comma_separated(
                checks.contact,
                "addresses such as mailto:security@example.com or https://example.com/security",
            ),
        ),
        Variable(
            "MEKIKI_DEBUG", "0", "1 shows Django's debug pages. Never set it in production.", checks.flag
        ),
        Variable(
            "MEKIKI_SECRET_KEY",
            "",
            "Secret of the site. If empty: created once and stored in MEKIKI_HOME/keys.",
        ),
        Variable(
            "MEKIKI_SIGNING_KEY_FILE",
            "",
            (
                "File of the private signing key, read by workers only. If empty: "
                "MEKIKI_HOME/keys/signing.pem."
            ),
            checks.path,
        ),
        Variable(
            "MEKIKI_SIGNING_PASSPHRASE",
            "",
            ("Passphrase of the private signing key, for workers only. If empty: the file is not encrypted."),
        ),
        Variable(
            "DATABASE_URL",
            "",
            "postgresql://… replaces the embedded PostgreSQL.",
            checks.url("postgresql", "postgres", example="postgresql://user:password@host:5432/name"),
        ),
        Variable(
            "DATABASE_OWNER_URL",
            "",
            (
                "The same database, as the role that owns its tables. Only `mekiki up`, backup and "
                "restore use it."
            ),
            checks.url("postgresql", "postgres", example="postgresql://owner:password@host:5432/name"),
        ),
        Variable(
            "DATABASE_REPORT_ROLE",
            "mekiki_report",
            "Name of a role that may only read. If it exists, `mekiki up` grants its rights.",
            checks.role_name,
        ),
        Variable(
            "BROKER_URL",
            "",
            "redis://… or redis+socket://… replaces the embedded Valkey.",
            checks.url(*BROKER_SCHEMES, example="redis://host:6379/0"),
        ),
        Variable("MEKIKI_WEB_WORKERS", "2", "Number of web worker processes.", checks.whole_number(1, 256)),
        Variable(
            "MEKIKI_WORKER_CONCURRENCY",
            "2",
            "Number of processes of the Celery worker (1 and solo on a GPU).",
            checks.whole_number(1, 256),
        ),
        Variable(
            "MEKIKI_WORKER_NICE",
            "10",
            (
                "By how much the priority of the Celery worker is below that of the web server, 0 to 19. "
                "With 0, training and imports slow down people who review."
            ),
            checks.whole_number(0, 19),
        ),
        Variable(
            "MEKIKI_EMBEDDING_CHUNK",
            "256",
            (
                "Number of images that a worker embeds and stores at a time: what is embedded again after "
                "a kill. Smaller for slow encoders. The same for all workers."
            ),
            checks.whole_number(8, 4096),
        ),
        Variable("MEKIKI_DEVICE", "auto", "Device of the encoders: auto, cpu, cuda, cuda:1 …", checks.device),
        Variable(
            "MEKIKI_MODEL_FOLDERS",
            "",
            (
                "Folders, comma-separated. Their model folders may be chosen as `local-dir:` in the "
                "browser, in addition to those in MEKIKI_HOME/models."
            ),
            checks.comma_separated(checks.path, "paths"),
        ),
        Variable(
            "MEKIKI_ENCODER_SOURCES",
            "registry,hub",
            (
                "Allowed download sources of encoders chosen in the browser: registry (open_clip's "
                "list), hub (any hf-hub: model), none."
            ),
            checks.comma_separated(checks.one_of("registry", "hub", "none"), "registry, hub or none"),
        ),
        Variable(
            "MEKIKI_LANGUAGE",
            "en",
            "Language of the pages if neither the user nor the browser has chosen one: en or ja.",
            checks.one_of("en", "ja"),
        ),
        Variable(
            "MEKIKI_TIME_ZONE",
            "",
            ("Time zone of pages and schedules, e.g. Asia/Tokyo. If empty: the zone under Site settings."),
            checks.time_zone,
        ),
        Variable(
            "MEKIKI_MAX_PIXELS",
            "100000000",
            "Images with more pixels are refused.",
            checks.whole_number(1, 10_000_000_000),
        ),
        Variable(
            "MEKIKI_DECODE_MEMORY_MB",
            "1024",
            ("Memory in MB that each process may use to decode images. An image that needs more is refused."),
            checks.whole_number(128, 1_000_000),
        ),
        Variable(
            "MEKIKI_MAX_FILE_MB",
            "100",
            "An image file larger than this number of MB is refused.",
            checks.whole_number(1, 1_000_000),
        ),
        Variable(
            "MEKIKI_MAX_ARCHIVE_MB",
            "4096",
            "A zip larger than this number of MB, packed or unpacked, is refused.",
            checks.whole_number(1, 100_000_000),
        ),
        Variable(
            "MEKIKI_MAX_ARCHIVE_FILES",
            "200000",
            "A zip with more entries is refused.",
            checks.whole_number(1, 100_000_000),
        ),
        Variable(
            "MEKIKI_IMPORT_FOLDERS",
            "",
            (
                "Folders of the server, comma-separated, that admins of a dataset may import from in the "
                "browser. If empty: only commands on the server import folders."
            ),
            checks.comma_separated(checks.path, "paths"),
        ),
        Variable(
            "MEKIKI_IMPORT_NETWORKS",
            "",
            (
                "Private networks that manifests may fetch images from, e.g. 10.1.0.0/24. All public "
                "addresses are allowed, and no other private address."
            ),
            checks.comma_separated(checks.network, "IP addresses or networks such as 10.0.0.0/24"),
        ),
        Variable(
            "MEKIKI_IMPORT_BUCKETS",
            "",
            (
                "Buckets with the protocol of S3, comma-separated, that admins of a dataset may import from, "
                "e.g. s3://photos/line3."
            ),
            checks.comma_separated(checks.bucket, "addresses such as s3://photos/line3"),
        ),
        Variable(
            "MEKIKI_S3_ENDPOINT",
            "",
            "Address of the S3 server of MEKIKI_IMPORT_BUCKETS. If empty: Amazon S3.",
            checks.url("https", "http", example="https://s3.example.com"),
        ),
        Variable("MEKIKI_S3_REGION", "", "Region of the buckets. If empty: us-east-1."),
        Variable("MEKIKI_S3_KEY_ID", "", "Access key of the buckets. If empty: requests are not signed."),
        Variable("MEKIKI_S3_SECRET_KEY", "", "Secret key of the buckets."),
        Variable(
            "MEKIKI_RESERVE_MB",
            "1024",
            (
                "Imports, trainings and label sets wait while less than this number of MB is free on the "
                "disk of the home, its files or its database."
            ),
            checks.whole_number(1, 100_000_000),
        ),
        Variable(
            "MEKIKI_INDEX_MEMORY_MB",
            "2048",
            "Largest memory in MB that PostgreSQL may use to build a search index.",
            checks.whole_number(1, 2_000_000),
        ),
        Variable(
            "MEKIKI_LEASE_SECONDS",
            "120",
            "Time in seconds that a reviewer holds an item without activity.",
            checks.whole_number(1, 86_400),
        ),
        Variable(
            "MEKIKI_MAIL_URL",
            "",
            (
                "Mail server (links for lost passwords and new addresses, notices of changes of "
                "accounts, heads of seals): smtps://… or smtp+starttls://user:password@host:587. smtp:// "
                "does not encrypt."
            ),
            checks.url("smtp", "smtps", "smtp+starttls", example="smtp+starttls://user:password@host:587"),
        ),
        Variable("MEKIKI_MAIL_FROM", "", "Sender of mails, such as mekiki@example.com.", checks.mail_address),
        Variable(
            "MEKIKI_PUBLIC_URL",
            "",
            ("Address of the site in mails, such as https://mekiki.example.com. Without it no mail is sent."),
            checks.origin,
        ),
        Variable(
            "MEKIKI_PASSWORD_LENGTH",
            "12",
            "Smallest number of characters of a new password.",
            checks.whole_number(8, 64),
        ),
        Variable(
            "MEKIKI_SESSION_IDLE_MINUTES",
            "120",
            "A session ends after this number of minutes without use.",
            checks.whole_number(2, 43_200),
        ),
        Variable(
            "MEKIKI_SESSION_HOURS",
            "168",
            "A session ends this number of hours after the login.",
            checks.whole_number(1, 8_760),
        ),
        Variable(
            "MEKIKI_OIDC_ISSUER",
            "",
            (
                "Issuer of the OpenID provider for single sign-on, such as https://login.example.com. If "
                "empty: no single sign-on."
            ),
            checks.issuer,
        ),
        Variable(
            "MEKIKI_OIDC_CLIENT_ID",
            "",
            "Client id of this site at the provider.",
            checks.word,
        ),
        Variable(
            "MEKIKI_OIDC_CLIENT_SECRET_FILE",
            "",
            "File of the client secret of this site at the provider, for the web process only.",
            checks.path,
        ),
        Variable(
            "MEKIKI_OIDC_NAME",
            "",
            "Name of the provider on the button of the login page. If empty: single sign-on.",
            checks.at_most(40),
        ),
        Variable(
            "MEKIKI_OIDC_NEW_ACCOUNTS",
            "0",
            (
                "1 creates an account, without roles, at the first sign-on of a person. 0 refuses "
                "persons without a linked account."
            ),
            checks.flag,
        ),
        Variable(
            "MEKIKI_OIDC_NAME_CLAIM",
            "preferred_username",
            "Claim of the provider that gives the user name of a new account.",
            checks.word,
        ),
        Variable(
            "MEKIKI_OIDC_GROUPS",
            "",
            (
                "Groups, comma-separated. Only members of one of them may sign on. If empty: everybody "
                "whom the provider accepts."
            ),
        ),
        Variable(
            "MEKIKI_OIDC_GROUPS_CLAIM",
            "groups",
            "Claim of the provider that lists the groups of a user.",
            checks.word,
        ),
        Variable(
            "MEKIKI_OIDC_SECOND_FACTOR",
            "",
            (
                "Values of the claims amr or acr, comma-separated, that show a second factor, such as "
                "mfa. If empty: only a second factor of this site counts."
            ),
            checks.comma_separated(checks.word, "values such as mfa"),
        ),
        Variable(
            "MEKIKI_ADMIN_NAME",
            "",
            "Name of the first admin, created by `mekiki up` on an empty installation.",
            checks.user_name,
        ),
        Variable(
            "MEKIKI_ADMIN_PASSWORD",
            "",
            ("Password of the first admin. If empty: `mekiki up` asks for it, or generates and shows it."),
        ),
        Variable(
            "MEKIKI_LOG_LEVEL",
            "INFO",
            "DEBUG, INFO, WARNING or ERROR.",
            checks.one_of("DEBUG", "INFO", "WARNING", "ERROR"),
        ),
    )
}
