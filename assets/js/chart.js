// The values of the chart at the step under the pointer.
{
  const say = (event) => {
    const chart = event.target.closest('svg[data-points]');
    if (!chart) return;
    const place = new DOMPoint(event.clientX, event.clientY).matrixTransform(chart.getScreenCTM().inverse());
    const distance = (point) => Math.abs(point[0] - place.x);
    const near = JSON.parse(chart.dataset.points).reduce((best, point) => (distance(point) < distance(best) ? point : best));
    const [x, step, loss, averaged] = near, names = JSON.parse(chart.dataset.names);
    const line = chart.querySelector('path.pointer');
    line.setAttribute('d', `M${x} __TOP__V__BOTTOM__`);
    line.removeAttribute('hidden');
    const texts = [[names[0], step], [names[1], loss.toFixed(4)], [names[2], averaged.toFixed(4)]];
    chart.parentElement.querySelector('.ksh-reading').textContent = texts.map((pair) => pair.join(' ')).join(' · ');
  };
  element.addEventListener('pointermove', say);
  element.addEventListener('pointerdown', say);
}
