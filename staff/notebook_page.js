// Marks the link of the section at the top of the window, and closes the contents where they would fill a telephone.
const contents = document.querySelector(".contents");
const narrow = matchMedia("(max-width: 1099px)");
const fold = () => { contents.querySelector("details").open = !narrow.matches; };
narrow.addEventListener("change", fold);
fold();
const links = [...contents.querySelectorAll("a")];
const headings = links.map((link) => document.getElementById(link.getAttribute("href").slice(1)));
function mark() {
  const passed = headings.filter((heading) => heading.getBoundingClientRect().top < 120).length;
  links.forEach((link, k) => {
    if (k === Math.max(0, passed - 1)) link.setAttribute("aria-current", "location");
    else link.removeAttribute("aria-current");
  });
  const current = contents.querySelector("[aria-current]");
  if (!narrow.matches) contents.scrollTop = current.offsetTop - contents.clientHeight / 2;
}
addEventListener("scroll", mark, { passive: true });
contents.addEventListener("click", (event) => { if (narrow.matches && event.target.hash) setTimeout(fold); });
mark();
