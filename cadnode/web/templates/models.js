"use strict";
// A file that somebody chooses is put into the field beside it: no page of ours sends files.
for (const chooser of document.querySelectorAll("input[type=file][data-into]")) {
  chooser.hidden = false;
  chooser.addEventListener("change", async () => {
    const [file] = chooser.files;
    if (file) document.getElementById(chooser.dataset.into).value = await file.text();
  });
}
