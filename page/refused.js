// Tells the server of a file that page.js did not let through. The value: {role, name, size}.
document.addEventListener("refused", (event) => {
    props.value = event.detail;
    trigger("input");
});
