"""Short words of states, answers and units that pages show: the codes of records, as words.

Templates show a code with the filter `word`, which looks these up; `tests` keep the list complete.
"""

from typing import Final

from cadnode.phrases import N_

WORDS: Final = (
    # translators: States of a study on its way through the node; "reading": the models read it.
    N_("fetching"),
    N_("receiving"),
    N_("arriving"),
    N_("queued"),
    # translators: The models are reading the images of the study now.
    N_("reading"),
    N_("delivering"),
    N_("done"),
    # translators: A destination did not take the result.
    N_("refused"),
    N_("failed"),
    N_("ignored"),
    N_("unknown"),
    # translators: How a delivery to an archive stands.
    N_("waiting"),
    # translators: Storage commitment of DICOM: the archive has yet to confirm that it keeps it.
    N_("awaiting commitment"),
    N_("delivered"),
    # translators: It could not be verified whose objects the destination already has.
    N_("unverified"),
    # translators: A delivery that is no longer tried.
    N_("given up"),
    # translators: A newer result is sent instead.
    N_("superseded"),
    N_("dropped"),
    N_("retry"),
    # translators: How soon a study is read among others.
    N_("urgent"),
    N_("diagnostic"),
    N_("screening"),
    # translators: A reader's verdict on a finding.
    N_("accepted"),
    N_("rejected"),
    N_("withdrawn"),
    # translators: Units of a measurement: so many cancers + so many others.
    N_("breasts"),
    N_("exams"),
    N_("cases"),
    N_("images"),
    N_("regions"),
    N_("views"),
)
