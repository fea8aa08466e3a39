"""What all tests share: one thread, since a second one makes networks of this size slower."""

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    torch.set_num_threads(1)
