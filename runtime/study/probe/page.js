"use strict";

// The marks of the picture show their titles next to the pointer, and with the arrow keys from one prompt to the next.
(() => {
  const { tips, arrows } = page;
  const marks = [...document.querySelectorAll("path:has(> title)")];
  for (const mark of marks) {
    const title = mark.querySelector("title");
    const text = title.textContent;
    title.remove();
    mark.setAttribute("role", "img");
    mark.setAttribute("aria-label", text);
    tips(mark, () => text);
  }
  if (marks.length > 0) arrows(marks, (m) => [0, marks.indexOf(m)]);
})();
