"""Text of a deployment's README.md."""

from __future__ import annotations

from compiler.stages import Implementation
from hw_targets.boards import Board
from hw_targets.flows import vivado
from hw_targets.shells.protocol import VERSION


def for_serial(model: Implementation, board: Board, bitstream: str, samples: int) -> str:
    """For a board with a bitstream of ours and the serial shell."""
    load = "\n# or\n".join(command.replace("{bitstream}", bitstream) for command in board.load)
    return f"""\
# {model.name} on {board.description}

Bitstream `{bitstream}`, design `{model.design.digest[:16]}`, {model.clock_target_mhz:g} MHz
({_reached(model)}).

## Load it
```sh
{load}
```

## Use it
```sh
pip install pyserial
python driver.py --port /dev/ttyUSB0 samples.npy
```
`samples.npy` holds {samples} test samples, `expected.json` their {_answers(model)}.
Samples are float arrays of the network's own input shape, one or a batch; `model.json` says how
the driver turns them into integers.{_on_board(model, board)} On a machine with LiftFlow,
`liftflow run` does the same and compares: `liftflow run RUN --port /dev/ttyUSB0`, `RUN` the folder
of the compilation.

From Python, in this folder:
```python
import json, serial
from liftflow_host.driver import LiftFlowDevice

model = json.load(open("model.json"))
with serial.Serial("/dev/ttyUSB0", model["baud"], timeout=2) as port:
    device = LiftFlowDevice.from_model(port, model)
    print(device.infer([sample]))  # sample: flat list of floats, channels first
```

The byte protocol, version {VERSION}, is in docs/protocol.md of LiftFlow.
"""


def for_pynq(model: Implementation, board: Board, samples: int) -> str:
    """For a Zynq board whose bitstream Vivado makes of LiftFlow's own RTL."""
    built = f"Bitstream `{model.name}.bit`, {_reached(model)}."
    state = f"Not built here: {model.skipped}." if model.skipped else built
    return f"""\
# {model.name} on {board.description}

{state} Design `{model.design.digest[:16]}`, {model.clock_target_mhz:g} MHz.

## Build the bitstream
On a machine with Vivado; neither Vitis HLS nor FINN is needed:
```sh
source /path/to/Vivado/settings64.sh
sh plan/run.sh
cp plan/design.bit {model.name}.bit
cp plan/design.hwh {model.name}.hwh
```
`plan/plan.json` lists files, tools and products with their digests; `plan/utilization.rpt`,
`timing.rpt` and `power.rpt` are Vivado's reports.

## Use it
Copy this folder to the board, which runs a PYNQ image, and there:
```sh
sudo python3 driver.py --expected expected.json samples.npy
```
`samples.npy` holds {samples} test samples, `expected.json` their {_answers(model)}.
Samples are float arrays of the network's own input shape, one or a batch; `model.json` says how
the driver turns them into integers, and how frames lie in memory.

From Python, in this folder, on the board:
```python
import json, pathlib
from liftflow_host.pynq_driver import LiftFlowOverlay

model = json.load(open("model.json"))
overlay = LiftFlowOverlay.load(pathlib.Path("{model.name}.bit"), model)
print(overlay.infer(samples))  # samples: NumPy array, channels first
```
"""


def for_vivado(model: Implementation, board: Board) -> str:
    """For a board whose bitstream FINN and Vivado make."""
    state = f"Not built here: {model.skipped}." if model.skipped else "Built by FINN with Vivado."
    return f"""\
# {model.name} on {board.description}

{state}

## Build it
On a machine with Vivado, Vitis HLS and finn-plus:
```sh
source /path/to/Vivado/settings64.sh
sh plan/run.sh
```
`plan/plan.json` lists files, tools and products with their digests. FINN leaves
{_left_by_finn(board)}. `samples.npy` are test samples, `expected.json` their
{_answers(model)}.
"""


def _left_by_finn(board: Board) -> str:
    if board.finn_shell is None:
        return (
            f"a Vivado project of the\naccelerator's IP, `plan/{vivado.STITCHED}`,\n"
            "and no bitstream: it has no shell for this board"
        )
    return (
        f"the bitstream,\n`plan/{vivado.BITSTREAMS[board.finn_shell]}`, and with it its driver "
        f"for PYNQ in\n`plan/{vivado.DEPLOY}`"
    )


def _answers(model: Implementation) -> str:
    if not model.design.network.regression:
        return "classes"
    return f"output integers, channels last; the value of one is integer x {model.design.step!r}"


def _on_board(model: Implementation, board: Board) -> str:
    """What its LEDs and its button do, as far as it has any."""
    assert board.pins is not None  # this flow needs them
    shown = "last output's integer" if model.design.network.regression else "last class"
    leds = f" The LEDs show the {shown} in binary,\nLED 0 lowest." if board.pins.leds else ""
    return leds + ("\nThe button resets the design." if board.pins.button else "")


def _reached(model: Implementation) -> str:
    return "not timed" if model.clock_mhz is None else f"timing met at {model.clock_mhz:.1f} MHz"
