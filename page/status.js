// A sentence that a person has to know is brought into sight.
watch("value", () => requestAnimationFrame(() => {
    element.querySelector(".complaint")?.scrollIntoView({ block: "nearest", behavior: "smooth" });
}));
