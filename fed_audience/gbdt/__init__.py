"""The learner: arrays in, trees out. Knows no network, no SQL and no consent."""

from fed_audience.gbdt.kernel_cache import use_own_folder

use_own_folder()
