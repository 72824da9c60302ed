"""BadNets: a patch."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from assay.methods.backdoor.planting.plant import Plant, Scene, register
from assay.methods.backdoor.planting.triggers.masked import Masked
from assay.methods.backdoor.triggers import Colour, Corner, Patch


class WithPatch(Plant):
    """An attack whose trigger is, or starts as, a square patch; sides and insets are in pixels."""

    colour: Colour = "white"
    side: int = Field(default=3, ge=1)
    corner: Corner = "bottom right"
    inset: int = Field(default=0, ge=0)

    def trigger(self, scene: Scene) -> Masked:
        """Implements `Plant.trigger`.

        Raises:
            DataError: if the patch does not fit.
        """
        shape = scene.images.shape
        patch = Patch(self.colour, self.side, self.corner, self.inset)
        return patch.trigger((shape[1], shape[2], shape[3]))


@register
class BadNets(WithPatch):
    """A patch on images that are given another label."""

    name: ClassVar[str] = "badnets"
    title: ClassVar[str] = "BadNets"
    paper: ClassVar[str] = "Gu et al., BadNets, arXiv 1708.06733, 2017."
