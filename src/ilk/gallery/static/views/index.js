// What the middle of the page can hold besides the images, in the order of the tabs.

export default [];
