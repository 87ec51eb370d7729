"""What a destination of kind `hl7` is told in the header of each message (HL7 v2.5.1 2.15.9)."""

from typing import Annotated, Literal

from pydantic import Field

from cadnode.settings.section import Section

HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9 ._-]{0,60}$")]


class Hl7Header(Section):
    """The keys of `[[destinations]]` that are of use for kind `hl7` alone."""

    sending_application: HeaderName = Field(
        "cadnode", description="for hl7: this node's name, MSH-3"
    )
    sending_facility: HeaderName = Field("", description="for hl7: MSH-4")
    receiving_application: HeaderName = Field("", description="for hl7: the listener's name, MSH-5")
    receiving_facility: HeaderName = Field("", description="for hl7: MSH-6")
    processing_id: Literal["P", "T", "D"] = Field(
        "P", description="for hl7: production, training or debugging, MSH-11"
    )
    character_set: Literal[
        "UNICODE UTF-8", "ASCII", "8859/1", "8859/2", "8859/5", "8859/7", "8859/9", "8859/15"
    ] = Field(
        "UNICODE UTF-8",
        description="for hl7: MSH-18; a letter that it does not have is sent as ?",
    )
