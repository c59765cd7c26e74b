"""Which encoders a dataset may choose: what a worker can load without asking any network."""

from django.conf import settings
from django.utils.translation import gettext as _

DEFAULT_ENCODER = "pocket"


def available_encoders() -> list[tuple[str, str]]:
    """(name, title) of the bundled encoder and of each open_clip folder under HOME/models.

    A folder with an open_clip_config.json is loaded by open_clip's own `local-dir:` names.
    """
    found = [(DEFAULT_ENCODER, _("pocket (bundled, works at once)"))]
    models = settings.HOME / "models"
    if models.is_dir():
        for folder in sorted(models.iterdir()):
            if (folder / "open_clip_config.json").is_file():
                found.append((f"local-dir:{folder}", folder.name))
    return found
