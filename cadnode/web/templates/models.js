"use strict";
// A file that somebody chooses is put into the field beside it: no page of ours sends files.
function offer() {
  for (const chooser of document.querySelectorAll("input[type=file][data-into][hidden]")) {
    chooser.hidden = false;
    chooser.addEventListener("change", async () => {
      const [file] = chooser.files;
      if (file) document.getElementById(chooser.dataset.into).value = await file.text();
    });
  }
}
document.addEventListener("cadnode:refreshed", offer);  // the models come after the page
offer();
