"""Everything that a test or a recipe needs to make and damage images."""

from crafted import *                                       # noqa: F401,F403
from damage import DAMAGES, TEXT, content, fill             # noqa: F401
import damage_more                                          # noqa: F401
from layouts import LAYOUTS                                 # noqa: F401
from make import *                                          # noqa: F401,F403
from qcow2 import *                                         # noqa: F401,F403
from staged import *                                        # noqa: F401,F403
from tools import *                                         # noqa: F401,F403
