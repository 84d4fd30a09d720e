from .data import make_batches as make_batches
from .datasets.loading import load_images as load_images
from .distributed.step_random import StepRandom as StepRandom
from .gan import Gan as Gan
from .gan import make_gan as make_gan
from .keras_api.model import DCGAN as DCGAN
from .models import make_discriminator as make_discriminator
from .models import make_generator as make_generator
from .reporting.images import ImageGrid as ImageGrid
from .serving.notebook import Run as Run
from .serving.notebook import load_pretrained as load_pretrained
from .serving.notebook import load_run as load_run
from .settings.choices import LOSSES as LOSSES
from .settings.config import Config as Config
from .settings.errors import UserError as UserError
from .settings.presets import PRESETS as PRESETS
from .starting.start import train as train
from .steps.make_step import make_step as make_step
from .train_step import train_step as train_step
from .training import Trainer as Trainer

__version__: str
