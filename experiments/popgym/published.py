"""What others reached on POPGym's own environments, to be measured against.

The columns of 15 M env steps are those of Morad et al. 2023 (arXiv 2303.01859), as a public repository wrote them down
(bryjudy/fly-critic); they were not checked against the paper. The column of 3 M is its own PPO with a GRU.
All are means over trials of the largest epoch mean in training, which is biased upward.
"""

from typing import NamedTuple


class Published(NamedTuple):
    """Returns on one environment."""

    gru: float  # the paper's GRU, 15 M env steps
    best: float | None  # the best of the paper's 13 models, 15 M env steps
    model: str  # which model that is, where it is known
    gru_3m: float | None  # another project's PPO with a GRU, 3 M env steps


PUBLISHED = {
    "AutoencodeEasy": Published(-0.283, -0.283, "GRU", -0.454),
    "AutoencodeMedium": Published(-0.425, -0.420, "IndRNN", -0.470),
    "AutoencodeHard": Published(-0.456, -0.448, "IndRNN", -0.477),
    "CountRecallEasy": Published(0.177, 0.509, "LSTM", -0.655),
    "CountRecallMedium": Published(-0.528, -0.519, "PosMLP", -0.763),
    "CountRecallHard": Published(-0.475, -0.470, "", -0.872),
    "HigherLowerEasy": Published(0.529, 0.529, "", 0.518),
    "HigherLowerMedium": Published(0.511, 0.513, "", 0.519),
    "HigherLowerHard": Published(0.506, 0.509, "IndRNN", 0.516),
    "MultiarmedBanditEasy": Published(0.619, 0.631, "Elman", 0.327),
    "MultiarmedBanditMedium": Published(0.538, 0.598, "TCN", 0.048),
    "MultiarmedBanditHard": Published(0.516, 0.574, "TCN", 0.030),
    "NoisyPositionOnlyCartPoleEasy": Published(0.995, 0.995, "", 1.000),
    "NoisyPositionOnlyCartPoleMedium": Published(0.642, 0.659, "", 0.693),
    "NoisyPositionOnlyCartPoleHard": Published(0.390, 0.404, "IndRNN", 0.373),
    "PositionOnlyCartPoleEasy": Published(1.000, 1.000, "", 1.000),
    "PositionOnlyCartPoleMedium": Published(1.000, 1.000, "", 1.000),
    "PositionOnlyCartPoleHard": Published(1.000, 1.000, "", 1.000),
    "RepeatFirstEasy": Published(1.000, 1.000, "", 0.860),
    "RepeatFirstMedium": Published(1.000, 1.000, "", -0.419),
    "RepeatFirstHard": Published(0.940, 0.969, "IndRNN", -0.306),
    "RepeatPreviousEasy": Published(1.000, 1.000, "", 0.890),
    "RepeatPreviousMedium": Published(-0.315, 0.789, "LMU", -0.461),
    "RepeatPreviousHard": Published(-0.428, 0.191, "LMU", -0.470),
    "ConcentrationHard": Published(-0.829, None, "", None),
}
