"use strict";
// What scripts say, in the page's language: the messages that the page brings (`#texts`), each by
// its English text, and numbers as they are written there.
const TEXTS = JSON.parse(document.getElementById("texts").textContent);
// `%(name)s` stands for a value, `%%` for a per cent sign.
function filled(text, values) {
  return text.replace(/%(?:\((\w+)\)s|%)/g, (_, name) => name ? values[name] : "%");
}
/** A text, such as t("%(n)s of %(all)s files", {n: 3, all: 7}). */
function t(text, values = {}) {
  return filled((TEXTS.texts[text] || [text])[0], values);
}
/** A text about values.n things: `one` of a single one, else `many`. */
function tn(one, many, values) {
  const forms = TEXTS.texts[one];
  const form = forms ? forms[Math.min(TEXTS.forms[Math.min(values.n, 2)], forms.length - 1)] : null;
  return filled(form || (values.n === 1 ? one : many), values);
}
/** A number with so many places and no grouping. */
function decimal(value, places = 0) {
  const digits = {minimumFractionDigits: places, maximumFractionDigits: places, useGrouping: false};
  return value.toLocaleString(TEXTS.language, digits);
}
