// What a pointer over a chart reads out. The numbers are in the page; nothing is fetched.
for (const plot of document.querySelectorAll("[data-chart]")) {
  const chart = JSON.parse(plot.dataset.chart);
  const first = BigInt(chart.span[0]), length = BigInt(chart.span[1]) - first;
  const hair = plot.appendChild(Object.assign(document.createElement("div"), { className: "hair", hidden: true }));
  const tip = plot.appendChild(Object.assign(document.createElement("div"), { className: "tip", hidden: true }));
  const nearest = (line, at) => {
    let low = 0, high = line.at.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (line.at[middle] <= at) low = middle; else high = middle - 1;
    }
    if (line.steps || low === line.at.length - 1) return low;
    return at - line.at[low] <= line.at[low + 1] - at ? low : low + 1;
  };
  const show = (event) => {
    const box = plot.getBoundingClientRect();
    const share = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
    const time = first + (length * BigInt(Math.round(share * 1e6))) / 1000000n;
    const moment = new Date(Number(time / 1000000n)).toISOString().replace("T", " ").replace("Z", "");
    tip.replaceChildren(Object.assign(document.createElement("b"), { textContent: moment }));
    for (const line of chart.lines) {
      const says = line.says[nearest(line, share * 1000)];
      tip.append(Object.assign(document.createElement("span"), { textContent: `${line.name} ${says} ${chart.unit}` }));
    }
    hair.style.left = `${share * 100}%`;
    tip.style.left = `${Math.min(Math.max(share * 100, 12), 88)}%`;
    hair.hidden = tip.hidden = false;
  };
  plot.addEventListener("pointermove", show);
  plot.addEventListener("pointerdown", show);
  plot.addEventListener("pointerleave", () => { hair.hidden = tip.hidden = true; });
}
