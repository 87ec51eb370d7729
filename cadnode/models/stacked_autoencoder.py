"""The stacked denoising autoencoder of Wang et al. 2016 (Deep learning model)."""

from pydantic import BaseModel, ConfigDict, Field


class StackedAutoencoderConfig(BaseModel):
    """Shape of the network: features in, hidden layers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    inputs: int = Field(ge=1)
    hidden: tuple[int, ...] = (200, 200)
