from .cli.errors import UserError as UserError
from .config import Config as Config
from .data import load_images as load_images
from .data import make_batches as make_batches
from .gan import Gan as Gan
from .losses import LOSSES as LOSSES
from .models import make_discriminator as make_discriminator
from .models import make_generator as make_generator
from .presets import PRESETS as PRESETS
from .reporting.images import ImageGrid as ImageGrid
from .run import train as train
from .serving.notebook import Run as Run
from .serving.notebook import load_pretrained as load_pretrained
from .serving.notebook import load_run as load_run
from .train_step import train_step as train_step

__version__: str
