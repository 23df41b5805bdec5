import torch


def turned(images):
    """All four quarter turns of square pictures, and which each is."""
    views = torch.cat([torch.rot90(images, k, (2, 3)) for k in range(4)])
    return views, torch.arange(4, device=images.device).repeat_interleave(len(images))
