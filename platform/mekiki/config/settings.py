"""Django settings. All values that differ between machines come from config/env.py."""

import sys
from pathlib import Path

from csp.constants import NONE, SELF
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext_lazy as _

from mekiki.config import assets, env, mail
from mekiki.config.broker_url import with_checked_certificate
from mekiki.embedded import endpoints, secrets

env.require_valid()

PACKAGE_DIR = Path(__file__).resolve().parent.parent
# In a checkout, templates/ is at the top level. In a wheel it is inside mekiki/.
TEMPLATES_DIR = next(
    (p for p in (PACKAGE_DIR / "templates", PACKAGE_DIR.parent.parent / "templates") if p.is_dir()),
    PACKAGE_DIR / "templates",
)
HOME = env.home()
HTTPS = env.flag("MEKIKI_HTTPS")
DEBUG = env.flag("MEKIKI_DEBUG")
# Created at first use, so that a command that needs no home does not create a home.
SECRET_KEY = env.text("MEKIKI_SECRET_KEY") or SimpleLazyObject(lambda: secrets.site_key(HOME))
ALLOWED_HOSTS = env.words("MEKIKI_ALLOWED_HOSTS")
CSRF_TRUSTED_ORIGINS = env.words("MEKIKI_TRUSTED_ORIGINS")
# With TLS there is a proxy. It runs on this machine unless the variable names another address.
TRUSTED_PROXIES = env.words("MEKIKI_TRUSTED_PROXIES") or (["127.0.0.1", "::1"] if HTTPS else [])
SECURITY_CONTACT = env.words("MEKIKI_SECURITY_CONTACT")

INSTALLED_APPS = [
    "mekiki.accounts",  # before Django's app, so that its commands replace commands with the same name
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "csp",
    "django_htmx",
    "django_celery_beat",
    "django_prometheus",
    "pgtrigger",
    "mekiki.embedded",
    "mekiki.audit",
    "mekiki.jobs",
    "mekiki.datasets",
    "mekiki.labeling",
    "mekiki.learning",
    "mekiki.review",
    "mekiki.quality",
    "mekiki.exports",
    "mekiki.api",
    "mekiki.web",
    "mekiki.simulation",
]

MIDDLEWARE = [
    "mekiki.config.middleware.ProxyMiddleware",
    "mekiki.config.middleware.HeadersMiddleware",
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",  # before WhiteNoise, which responds to requests for static files
    "mekiki.config.middleware.StyleSheetMiddleware",  # before WhiteNoise, which has the separate sheets
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "mekiki.accounts.middleware.DeviceMiddleware",
    "mekiki.accounts.middleware.SessionUseMiddleware",
    "mekiki.accounts.middleware.PasswordChangeMiddleware",
    "mekiki.accounts.middleware.LanguageMiddleware",
    "mekiki.accounts.middleware.TimeZoneMiddleware",
    "mekiki.accounts.second_factor.middleware.SecondFactorMiddleware",
    "mekiki.datasets.middleware.MovedDatasetMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "mekiki.web.middleware.NoRoomMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]

ROOT_URLCONF = "mekiki.config.urls"
WSGI_APPLICATION = "mekiki.config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [TEMPLATES_DIR],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "mekiki.web.context.shell",
            ],
        },
    }
]

# --- Database and broker: from the environment, else the servers that `mekiki up` runs on this home ---------
DATABASES = {"default": endpoints.database(env.text("DATABASE_URL") or endpoints.read(HOME).database_url)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CELERY_BROKER_URL = with_checked_certificate(env.text("BROKER_URL")) or endpoints.read(HOME).broker_url
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
# A message returns to the queue if its process dies. The job row in the database makes a second delivery
# harmless.
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 6 * 3600,
    # A connection to a broker that hangs is closed and opened again. Publishers wait for a shorter time
    # (jobs/broker.py).
    "socket_connect_timeout": 5,
    "socket_timeout": 10,
    "socket_keepalive": True,
}
# A broker may be unreachable for days. Workers and beat retry until it is back.
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_TIMEZONE = env.text("MEKIKI_TIME_ZONE") or "UTC"
CELERY_BEAT_SCHEDULER = "mekiki.learning.beat:SiteScheduler"
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
DJANGO_CELERY_BEAT_TZ_AWARE = True

# --- Accounts -----------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["mekiki.accounts.backends.SiteBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "mekiki.accounts.passwords.LengthValidator"},
    {"NAME": "mekiki.accounts.passwords.KnownWordsValidator"},
]
PASSWORD_RESET_TIMEOUT = 3600
PASSWORD_LENGTH = env.number("MEKIKI_PASSWORD_LENGTH")
LOGIN_URL = "login"
# django-allauth does the second step of a login and single sign-on, with our adapters (docs/decisions/0032).
# The database limits the rate of guesses, because each process has a cache of its own.
ACCOUNT_ADAPTER = "mekiki.accounts.login_flow.LoginAdapter"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_EMAIL_NOTIFICATIONS = False
ACCOUNT_RATE_LIMITS = False
ACCOUNT_LOGIN_TIMEOUT = 600  # seconds between the first and the second step
MFA_ADAPTER = "mekiki.accounts.second_factor.adapter.SecondFactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_TOLERANCE = 1  # steps of 30 s before and after, because clocks of phones are not exact
MFA_RECOVERY_CODE_DIGITS = 10
LOGIN_REDIRECT_URL = "home"
# Single sign-on (accounts/sign_on/, docs/decisions/0033). Without an issuer, the site has no single sign-on.
SOCIALACCOUNT_ADAPTER = "mekiki.accounts.sign_on.adapter.SignOnAdapter"
SOCIALACCOUNT_STORE_TOKENS = False
SOCIALACCOUNT_EMAIL_AUTHENTICATION = False
OIDC_ISSUER = env.text("MEKIKI_OIDC_ISSUER").rstrip("/")
OIDC_CLIENT_ID = env.text("MEKIKI_OIDC_CLIENT_ID")
OIDC_CLIENT_SECRET_FILE = env.text("MEKIKI_OIDC_CLIENT_SECRET_FILE")
OIDC_NAME = env.text("MEKIKI_OIDC_NAME")
OIDC_NEW_ACCOUNTS = env.flag("MEKIKI_OIDC_NEW_ACCOUNTS")
OIDC_NAME_CLAIM = env.text("MEKIKI_OIDC_NAME_CLAIM")
OIDC_GROUPS = env.words("MEKIKI_OIDC_GROUPS")
OIDC_GROUPS_CLAIM = env.text("MEKIKI_OIDC_GROUPS_CLAIM")
OIDC_SECOND_FACTOR = env.words("MEKIKI_OIDC_SECOND_FACTOR")
LOGOUT_REDIRECT_URL = "login"

# --- Language and time --------------------------------------------------------------------------------------
LANGUAGE_CODE = env.text("MEKIKI_LANGUAGE")
LANGUAGES = [("en", _("English")), ("ja", _("Japanese"))]
LOCALE_PATHS = [PACKAGE_DIR / "locale"]
USE_I18N = True
USE_TZ = True
# Time zone of this process outside requests. Pages and schedules use the time zone of the site
# (accounts/site.py).
TIME_ZONE = env.text("MEKIKI_TIME_ZONE") or "UTC"
# If it is not empty, the time zone of the site cannot be changed in the browser.
FIXED_TIME_ZONE = env.text("MEKIKI_TIME_ZONE")

# --- Files --------------------------------------------------------------------------------------------------
STATIC_URL = f"static/{assets.asset_version(PACKAGE_DIR)}/"
STATIC_ROOT = None
# Static files are served directly from the packages. An installation needs no collectstatic step before its
# first page.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG
WHITENOISE_ALLOW_ALL_ORIGINS = False
# The URL changes with the content (config/assets.py).
WHITENOISE_IMMUTABLE_FILE_TEST = r"^$" if DEBUG else r"^/static/"
MEDIA_ROOT = HOME / "files"
STORAGES = {
    "default": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": MEDIA_ROOT},
    },
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
FILE_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
FILE_UPLOAD_PERMISSIONS = 0o600
FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o700
# Limits bodies without files (forms, JSON). The size of files is checked where they are read.
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FILES = 1000
DATA_UPLOAD_MAX_NUMBER_FIELDS = 5000

# --- Security -----------------------------------------------------------------------------------------------
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:", "blob:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_ENGINE = "mekiki.accounts.sessions"
SESSION_COOKIE_AGE = env.number("MEKIKI_SESSION_HOURS") * 3600
SESSION_IDLE_MINUTES = env.number("MEKIKI_SESSION_IDLE_MINUTES")
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = HTTPS
# Scripts read the CSRF token from the page, and no script reads the language.
CSRF_COOKIE_HTTPONLY = LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
if HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 365 * 24 * 3600

# --- Mail: links for lost passwords (accounts/mail_reset.py) ------------------------------------------------
MAIL = mail.parse_mail_url(env.text("MEKIKI_MAIL_URL"))
EMAIL_HOST, EMAIL_PORT = MAIL.host, MAIL.port
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = MAIL.user, MAIL.password
EMAIL_USE_SSL, EMAIL_USE_TLS = MAIL.ssl, MAIL.starttls
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL = env.text("MEKIKI_MAIL_FROM") or "mekiki@localhost"
PUBLIC_URL = env.text("MEKIKI_PUBLIC_URL")

# --- Limits of uploads (design.md, invariant 8) -------------------------------------------------------------
MAX_PIXELS = env.number("MEKIKI_MAX_PIXELS")
DECODE_MEMORY_BYTES = env.number("MEKIKI_DECODE_MEMORY_MB") * 1024 * 1024
MAX_FILE_BYTES = env.number("MEKIKI_MAX_FILE_MB") * 1024 * 1024
MAX_ARCHIVE_BYTES = env.number("MEKIKI_MAX_ARCHIVE_MB") * 1024 * 1024
MAX_ARCHIVE_FILES = env.number("MEKIKI_MAX_ARCHIVE_FILES")
IMPORT_FOLDERS = env.words("MEKIKI_IMPORT_FOLDERS")
IMPORT_BUCKETS = env.words("MEKIKI_IMPORT_BUCKETS")
S3_ENDPOINT = env.text("MEKIKI_S3_ENDPOINT")
S3_REGION = env.text("MEKIKI_S3_REGION")
S3_KEY_ID = env.text("MEKIKI_S3_KEY_ID")
S3_SECRET_KEY = env.text("MEKIKI_S3_SECRET_KEY")
IMPORT_NETWORKS = env.words("MEKIKI_IMPORT_NETWORKS")
LEASE_SECONDS = env.number("MEKIKI_LEASE_SECONDS")
DEVICE = env.text("MEKIKI_DEVICE")
EMBEDDING_CHUNK = env.number("MEKIKI_EMBEDDING_CHUNK")
MODEL_FOLDERS = [HOME / "models", *map(Path, env.words("MEKIKI_MODEL_FOLDERS"))]
ENCODER_SOURCES = env.words("MEKIKI_ENCODER_SOURCES")
INDEX_MEMORY_MB = env.number("MEKIKI_INDEX_MEMORY_MB")

# --- Logs ---------------------------------------------------------------------------------------------------
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "format": "{asctime} {levelname} {name} {message}",
            "datefmt": "%Y-%m-%dT%H:%M:%S%z",
            "style": "{",
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "stream": sys.stderr}},
    "root": {"handlers": ["stderr"], "level": env.text("MEKIKI_LOG_LEVEL")},
}
SILENCED_SYSTEM_CHECKS: list[str] = []
