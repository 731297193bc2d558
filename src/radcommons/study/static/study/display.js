// What the page knows of the display, for the display check.
"use strict";
document.getElementById("display").addEventListener("submit", ({ target }) => {
  const known = {
    width: innerWidth, height: innerHeight, screen_width: screen.width, screen_height: screen.height,
    pixel_ratio: devicePixelRatio, colour_depth: screen.colorDepth, agent: navigator.userAgent,
  };
  for (const [name, value] of Object.entries(known)) target.elements[name].value = value;
});
